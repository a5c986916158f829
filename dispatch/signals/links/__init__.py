"""Links: the protocols by which a dispatch desk (a QSE, a CSP, a utility) reaches the site. One protocol a file; each translates its
messages into calls and set points, and what the site reads into its own points. What a site does with a call is decided elsewhere."""
