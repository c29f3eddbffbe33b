"""Tables to figures, figures to a page."""
