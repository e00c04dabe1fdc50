package main

import (
	"os"

	"etc/fault"
)

// maxKeyFile is far above the size of any ed25519 key in PEM.
const maxKeyFile = 64 << 10

// readKey reads the key in the file that a flag names; the zero key where it
// names none.
func readKey[K any](flag, path string, parse func([]byte) (K, error)) (key K, err error) {
	if path == "" {
		return key, nil
	}
	if err := checkInput(flag, path); err != nil {
		return key, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return key, err
	}
	if info.Size() > maxKeyFile {
		return key, fault.Newf(fault.Usage, "%s %s: %d bytes, too large for a key", flag, path, info.Size())
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return key, err
	}
	if key, err = parse(file); err != nil {
		return key, fault.Newf(fault.Usage, "%s %s: %w", flag, path, err)
	}
	return key, nil
}
