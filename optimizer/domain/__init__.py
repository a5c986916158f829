"""Domain: what plan and bill both speak of: site, money, actuals, obligations, calls, market rules."""
