"""Run by Alembic for each of its commands: hands it the connection that `migrate` was given."""

from alembic import context

from yivideo_pipeline.ledger.database import version_table_of

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table=version_table_of(connection))
context.run_migrations()
