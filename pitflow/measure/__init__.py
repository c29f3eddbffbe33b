"""Tables to tables: pits, ejection, growth, correlation, velocity, focus, flow."""
