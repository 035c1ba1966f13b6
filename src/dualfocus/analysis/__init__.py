"""What accuracy and confidence depend on: experiments that change one thing at a time on seeded scenes."""
