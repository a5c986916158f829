"""Domain: the values that plan and bill share: site, money, actuals, obligations, calls, market rules."""
