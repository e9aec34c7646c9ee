"""What every test shares."""

from hypothesis import settings

# A loaded machine is no defect: tests have a deadline of their own.
settings.register_profile("brokerd", deadline=None)
settings.load_profile("brokerd")
