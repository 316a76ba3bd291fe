package workload

import "runtime"

// Footprint is what something costs while nothing happens, for each of many.
type Footprint struct {
	Bytes      float64 // of heap and stacks
	Goroutines float64
}

// MeasureIdle returns the footprint of each of n actors or entities that open makes.
func MeasureIdle(n int, open func(n int) (Side, error)) (Footprint, error) {
	// Once with few of them: what an engine costs by itself is not part of it.
	few, err := open(1)
	if err != nil {
		return Footprint{}, err
	}
	bytes, goroutines := resident()
	if err := few.Close(); err != nil {
		return Footprint{}, err
	}
	many, err := open(n + 1)
	if err != nil {
		return Footprint{}, err
	}
	after, running := resident()
	return Footprint{Bytes: (after - bytes) / float64(n), Goroutines: float64(running-goroutines) / float64(n)}, many.Close()
}

// resident returns the bytes in use and the number of goroutines.
func resident() (float64, int) {
	runtime.GC()
	runtime.GC() // what finalizers and pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc + m.StackInuse), runtime.NumGoroutine()
}
