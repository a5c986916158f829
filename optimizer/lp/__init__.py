"""LP: builds the linear program: expressions, blocks of columns and rows, rig modes, starts and stops, reserve headroom."""
