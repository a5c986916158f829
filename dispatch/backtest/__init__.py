"""A span of archived facts run under several strategies: what each would have earned."""
