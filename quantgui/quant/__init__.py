"""The methods, one file each with their registry rows, and which tensor gets which scheme."""
