"""The wire types of API v1.36 and what is known of them: generated structs, the table of resources, the codec."""
