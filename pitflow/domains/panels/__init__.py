"""Photographs of coated panels: corrosion segmented, creep measured, rated."""
