"""What a listing is: its columns, how batches of it are read, cleaned and turned into features."""
