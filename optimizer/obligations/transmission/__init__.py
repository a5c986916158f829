"""Transmission and demand charges."""

from optimizer.obligations.transmission.contract import Transmission as Transmission
