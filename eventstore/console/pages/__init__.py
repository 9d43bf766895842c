"""The pages of the console; each module registers its own with the admin."""
