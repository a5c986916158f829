"""What the site should do, and what it earned: the plan and the bill. Pure: no clock, no disk, no network."""
