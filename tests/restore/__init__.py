"""The log loses its tail under what runs on it: nothing remembered, promised or paid goes on
unnoticed."""
