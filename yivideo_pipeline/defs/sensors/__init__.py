"""The sensors: one requests runs of new videos, the others notify users."""
