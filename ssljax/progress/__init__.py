"""What is printed and logged during a run, and where its time goes."""
