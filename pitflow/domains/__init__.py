"""One recipe each: the only place where the domains differ."""
