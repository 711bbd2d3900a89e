"""What a traced server and its viewers say to each other: messages, endpoints, keys. Knows no engine and no screen."""
