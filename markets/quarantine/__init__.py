"""Reported figures that cannot be believed from one source alone. They are kept, but nothing is decided or billed on them until another
source, or a later publication, gives the same figure."""
