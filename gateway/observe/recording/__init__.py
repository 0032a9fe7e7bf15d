"""Recordings of a tap: read, shown to people, freed of what nobody else should see, played again."""
