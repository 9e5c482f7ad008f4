"""The monitoring application killed at random moments: does it count every outcome once, all the same?"""
