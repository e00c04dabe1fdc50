package main

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"etc/executor/gpu"
)

// A cardMemory is what one trial has on a device.
type cardMemory struct {
	driver gpu.Driver
	cold   int64
	have   []gpu.Address
}

func (m *cardMemory) free() {
	for _, a := range m.have {
		m.driver.Free(a)
	}
	m.have = nil
}

// empty is memory for that many bytes.
func (m *cardMemory) empty(name string, bytes int) (uint64, error) {
	a, err := m.driver.Alloc(name, int64(max(bytes, 1)))
	if err == nil {
		m.have = append(m.have, a)
	}
	return uint64(a), err
}

// put is memory with b in it.
func (m *cardMemory) put(name string, b []byte) (uint64, error) {
	a, err := m.empty(name, len(b))
	if err == nil {
		err = m.driver.Upload(gpu.Address(a), b)
	}
	return a, err
}

// ints puts a list of numbers.
func (m *cardMemory) ints(name string, list ...int) (uint64, error) {
	var b []byte
	for _, v := range list {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
	}
	return m.put(name, b)
}

// numbers puts n random numbers.
func (m *cardMemory) numbers(name string, n int, dtype string) (uint64, error) {
	return m.put(name, randomNumbers(n, dtype))
}

// weights puts the same matrix at as many places as it takes to read a cold
// one each time, up to most.
func (m *cardMemory) weights(name string, n int, dtype string, most int) (places []uint64, err error) {
	b := randomNumbers(n, dtype)
	for bytes := int64(0); len(places) == 0 || bytes < m.cold && len(places) < most; bytes += int64(len(b)) {
		at, err := m.put(name, b)
		if err != nil {
			return nil, err
		}
		places = append(places, at)
	}
	return places, nil
}

// randomNumbers are n numbers that are not zero: magnitudes from 1/4 to 1/2 of
// either sign, so that sums stay small. Zeros would keep a card cooler than a
// model does.
func randomNumbers(n int, dtype string) []byte {
	rng := rand.New(rand.NewPCG(uint64(n), 5))
	b := make([]byte, 0, 4*n)
	for range n {
		sign, r := rng.Uint32()>>31, rng.Uint32()
		switch dtype {
		case "f16":
			b = binary.LittleEndian.AppendUint16(b, uint16(sign<<15|0x3400|r&0x3ff))
		case "bf16":
			b = binary.LittleEndian.AppendUint16(b, uint16(sign<<15|0x3e80|r&0x7f))
		default:
			v := 0.25 + 0.25*float32(r>>8)/(1<<24)
			b = binary.LittleEndian.AppendUint32(b, sign<<31|math.Float32bits(v))
		}
	}
	return b
}

// int32Bits and float32Bits are arguments of four bytes.
func int32Bits(n int) uint64       { return uint64(uint32(int32(n))) }
func float32Bits(f float64) uint64 { return uint64(math.Float32bits(float32(f))) }
