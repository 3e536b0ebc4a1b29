"""Fakes of the services that the harness works with, as their documentation describes them."""
