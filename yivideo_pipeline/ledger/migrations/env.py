"""Run by Alembic for each of its commands: hands it the connection that `migrate` was given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
