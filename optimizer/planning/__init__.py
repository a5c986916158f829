"""Planning: a plan, its values, its explanation in sentences and its JSON."""
