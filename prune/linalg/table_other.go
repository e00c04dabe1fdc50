//go:build !amd64

package linalg

var best = portable
