"""Forecasting: fills in what nobody has published yet: prices, peaks and scenarios. Pure."""
