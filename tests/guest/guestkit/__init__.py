"""What the guest tests share: a runner, a Hub, a server with its kernel mount, the official client, test data."""
