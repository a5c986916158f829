"""Messages to people: when something is wrong with a running site and when it is right again, and when a day has a new statement."""
