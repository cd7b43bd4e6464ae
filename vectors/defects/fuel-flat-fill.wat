;; memory.fill of a page costs as much as one of a byte
;; Found by the fuel of every wheel beside its model (`python -m benchmarks.fuel`).
(module (memory 1 1) (table 1 1 funcref)
  (func (export "run") (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)))
  (func (export "plain") (memory.fill (i32.const 0) (i32.const 1) (i32.const 1))))
