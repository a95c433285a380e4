"""What gets Redoubt onto a machine, and what holds its repository in order."""
