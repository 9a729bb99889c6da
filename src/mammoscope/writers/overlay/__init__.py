"""The findings drawn over the mammogram."""
