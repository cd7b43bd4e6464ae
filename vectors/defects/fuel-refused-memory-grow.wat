;; a refused memory.grow costs by whether its pages are a literal
;; Found by the fuel of every wheel beside its model (`python -m benchmarks.fuel`).
(module (memory 1 1) (table 1 1 funcref)
  (func (export "run") (result i32) (memory.grow (i32.const 5)))
  (func (export "plain") (result i32) (memory.grow (i32.add (i32.const 5) (i32.load8_u (i32.const 0))))))
