"""The pages an end user sees while connecting a bank."""
