"""What is said and logged while a run goes on, and where its time goes."""
