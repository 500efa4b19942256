"""What people and agents say when they mean a tool."""
