"""What a precision is: the Scheme, how its tensors lie in a file, and the Recipe that assigns schemes to tensors."""
