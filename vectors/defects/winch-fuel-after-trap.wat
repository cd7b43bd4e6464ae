;; after a trap Winch tells other fuel than Cranelift in the same wheel
;; Found by `weavegate fuzz --engine wasmtime/winch`.
(module (memory (export "memory") 0)
  (func (export "run") (drop (i32.div_s (i32.const 1) (i32.const 0)))))
