"""Settlement: what was earned and owed, received statements compared with it, and the variance between plan and bill."""
