"""Text for people: messages, values as they were given, characters that a console lacks."""
