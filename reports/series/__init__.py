"""What the figures draw, counted out of a history: values in, values out, no drawing."""
