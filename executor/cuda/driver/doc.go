// Package driver is the CUDA driver, as far as etc needs it. It is the only
// user of gorgonia.org/cu, and has something in it with the build tag cuda on
// linux/amd64 only.
//
// gorgonia.org/cu wants the driver's library when it is linked, and a driver
// when the program starts. A program that has to run on machines without one
// can give it neither. So this package defines the driver's functions itself:
// shim.c makes of each name in symbols.h a jump through a table, whose entries
// say "not initialized" until Open fills them from libcuda.so.1. Only cuInit,
// which gorgonia.org/cu calls when the program starts, says success before.
// link/libcuda.a is an empty archive for the linker's -lcuda.
package driver

//go:generate go run ./gen
