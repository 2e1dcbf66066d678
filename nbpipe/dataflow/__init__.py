"""What each stage needs and gives, found by reading its code. Nothing is executed."""
