"""The probe's own process: standard library and h11 only, so that it starts in a tenth of a second."""
