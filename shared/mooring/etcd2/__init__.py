"""etcd by its old API, v2: what registrator, docker-register, embassy and their readers speak."""
