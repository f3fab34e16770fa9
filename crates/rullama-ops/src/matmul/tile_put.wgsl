// What becomes of an invocation's sums sum{i}{c}_{j}: token {i}{c}, four neighbouring rows {j}.
#repeat i M_QUADS
#repeat c 4
#repeat j N_QUADS
    {
        let token = first_token + 4u * ({i}u * NY + ny) + {c}u;
        let row = first_row + 4u * ({j}u * NX + nx);
#if shares
#repeat r 4
        put_part(wg.z, row + {r}u, token, sum{i}{c}_{j}[{r}]);
#end
#else
#if pairs
        put(row, token, sum{i}{c}_{j}.x, sum{i}{c}_{j}.y);
        put(row + 2u, token, sum{i}{c}_{j}.z, sum{i}{c}_{j}.w);
#else
#repeat r 4
        put(row + {r}u, token, sum{i}{c}_{j}[{r}]);
#end
#endif
#endif
    }
#end
#end
#end
