"""What a container says about itself in labels and variables, and what the operator adds to it. Pure."""
