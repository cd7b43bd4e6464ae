;; a refused table.grow makes what was counted before it free
;; Found by the fuel of every wheel beside its model (`python -m benchmarks.fuel`).
(module (memory 1 1) (table 1 1 funcref)
  (func (export "run") (result i32) (drop (i32.const 1)) (drop (i32.const 2)) (table.grow (ref.null func) (i32.const 2000)))
  (func (export "plain") (result i32) (table.grow (ref.null func) (i32.const 2000))))
